"""VOC's colours for data sets whose classes come without a palette."""

from typing import Any

from ..utils.label_png import class_colours


class VOCColours:
    """Mixin of MMSeg's data sets; MMSeg itself draws random colours, for background too."""

    label_map: dict | None
    _metainfo: dict[str, Any]

    def _update_palette(self) -> list:
        """MMSeg's palette; VOC's colours for classes that come without one."""
        classes = self._metainfo.get('classes', ())
        if self.label_map is None and len(self._metainfo.get('palette', ())) != len(classes):
            return class_colours(len(classes))
        return super()._update_palette()  # type: ignore[misc]
