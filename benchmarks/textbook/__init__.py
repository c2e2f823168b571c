"""The hot paths once more, as the paper describes them and nothing else: the baseline.

Everything is computed where the text mentions it, in the published order of operations: class
names and prompts are encoded in every step for every pair, padded to CLIP's 77 tokens; the
foreground is encoded for each loss that uses it; all weights have gradients, whether they train or
not; the attention maps of all heads are stacked; the maps of all K classes are upsampled; CAMs are
made one image, one scale, one flip at a time; the CAM files are read again for every background
score; the CRF runs in one process over all classes. Nothing here is slow on purpose otherwise: the
same PyTorch operators, no loop over pixels or pairs.
"""
