"""Pictures and words to unit vectors.

`images/` holds the towers, one file each; `runtimes/` what runs an exported network. To add a tower, write
``images/NAME.py`` with a docstring and ``build(variant=None, *, option=default, ...) -> ImageTower``; the contract is
`nearsight.encode.encoder.ImageTower`, judged by tests/contracts/test_image_towers.py, which finds the file by itself.
"""

from nearsight.encode.encoder import Encoder, EncoderSpec, ImageTower, create

__all__ = ["Encoder", "EncoderSpec", "ImageTower", "create"]
