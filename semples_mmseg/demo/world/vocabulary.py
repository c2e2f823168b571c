"""Names, label ids and colours of the objects and backgrounds of the demo world."""

SIZE = 64
"""Side of a scene in pixels."""

OBJECTS = ('boat', 'train', 'aeroplane', 'car', 'cow', 'bird')
HABITATS = ('water', 'railway', 'sky', 'road', 'grass', 'tree')
"""``HABITATS[k]`` is the habitual background of ``OBJECTS[k]``."""

NEUTRALS = ('sand', 'snow', 'wall', 'rock')
BACKGROUNDS = HABITATS + NEUTRALS
TAGS = OBJECTS + BACKGROUNDS
"""All names; a region map holds indices into this tuple, or ``PLAIN``."""

PLAIN = len(TAGS)
"""Region id of a background of one colour, which has no name."""

PALETTE = (
    (0, 0, 0),
    (0, 0, 128),
    (128, 192, 0),
    (128, 0, 0),
    (128, 128, 128),
    (64, 128, 0),
    (128, 128, 0),
)
"""RGB of background and the six objects, the colours of PASCAL VOC."""
