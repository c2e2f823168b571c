# How photos are read in training and in tests.
load_image = dict(type='LoadCheckedImage')
# MMSegInferencer looks for this name; in this scope it is LoadCheckedImage.
load_test_image = dict(
    type='LoadImageFromFile', _scope_='semples_mmseg', imdecode_backend='pillow'
)
