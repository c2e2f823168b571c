"""Table 5: lambda = 0.01 in eq. 3. Only refine differs from voc_refine, whose prompts will do:

python tools/train.py configs/semples/ablations/voc_lambda_0p01.py --stage refine \\
    --cfg-options load_from=work_dirs/voc_refine/prompt.pth
"""

_base_ = '../voc_refine.py'
model = dict(losses=dict(refine=dict(weight=0.01)))
