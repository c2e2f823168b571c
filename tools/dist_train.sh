#!/usr/bin/env bash
# Train in several processes, one for each GPU; without GPUs on the CPU.
#
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT, on each of them.
# MAX_RESTARTS=3 restarts all processes when one dies, on one machine only; add --resume.
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
HERE=$(cd "$(dirname "$0")" && pwd)

# This checkout, not an installed package.
PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}" exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    --max_restarts="${MAX_RESTARTS:-0}" \
    "$HERE/train.py" "$CONFIG" --launcher pytorch "${@:3}"
