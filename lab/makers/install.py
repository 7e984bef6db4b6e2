"""What the packages for sound and pictures still lack once pip is done.

Run inside the lab's environment: `python -m lab.makers.install`.
Running it again changes nothing.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from lab.makers.kokoro import english_stand_in

# On an index torchvision is built for CUDA's torch. Beside a CPU build of torch its compiled operators do not load, and
# its import ends with "operator torchvision::nms does not exist". Its transforms, all that is used here, are Python and
# lack two declarations (0.28.0).
_DECLARED = """

# Added by the lab: see lab/makers/install.py.
if not _has_ops():
    _LAB = torch.library.Library("torchvision", "DEF")
    _LAB.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LAB.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def link_ffmpeg() -> None:
    """Put `ffmpeg` on the server's PATH, which begins with this environment's folder of programs."""
    import imageio_ffmpeg

    link = Path(sys.executable).parent / "ffmpeg"
    link.unlink(missing_ok=True)
    link.symlink_to(imageio_ffmpeg.get_ffmpeg_exe())


def declare_operators() -> None:
    """Make torchvision import beside a torch without CUDA."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        sys.exit("torchvision is not installed")
    extension = Path(spec.origin).with_name("extension.py")
    if "_LAB" not in (text := extension.read_text()):
        extension.write_text(text + _DECLARED)


if __name__ == "__main__":
    link_ffmpeg()
    declare_operators()
    english_stand_in()
