# A data set of the study: the folder DATA_ROOT, which prepare.py has written.
import pathlib

root = '{{$DATA_ROOT:data/real_photos/msrc}}'
data = dict(
    data_root=root,
    class_names=pathlib.Path(root, 'classes.txt').read_text().splitlines(),
    data_prefix=dict(img_path='photos'),
)
measured = dict(data, data_prefix=dict(img_path='photos', seg_map_path='masks'))
