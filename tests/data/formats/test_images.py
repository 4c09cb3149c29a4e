import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import PrepConfig
from core.data.formats.discovery import detect_kind, walk_files
from core.data.formats.images import read_image, read_image_size, read_images
from core.data.index.series import scan_series
from core.data.prepare.slices import prepare_images
from core.errors import DataError, LimitError
from core.settings import Settings

GREY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


@pytest.mark.parametrize(
    ("mode", "suffix"), [(mode, ".png") for mode in ("L", "RGB", "RGBA", "P", "LA")] + [("RGB", ".tif"), ("L", ".bmp")]
)
def test_every_mode_becomes_the_same_grey(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(GREY).convert(mode).save(path)
    array = read_image(path)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, GREY)
    assert read_image_size(path) == (4, 6, 1)


def test_what_is_transparent_is_black(tmp_path: Path) -> None:
    image = Image.fromarray(np.full((2, 2, 4), 200, np.uint8))
    image.putalpha(Image.fromarray(np.array([[0, 255], [0, 255]], np.uint8)))
    image.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[0, 200], [0, 200]]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([255, 255, 255, 90, 90, 90])
    palette.save(tmp_path / "p.png", transparency=0)
    assert read_image(tmp_path / "p.png").tolist() == [[0, 90]]


def test_deep_images_use_the_whole_range(tmp_path: Path) -> None:
    deep = np.array([[100, 1100], [600, 2100]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), [[0, 127.5], [63.75, 255]])
    Image.fromarray(deep.astype(np.float32)).save(tmp_path / "f.tif")
    np.testing.assert_allclose(read_image(tmp_path / "f.tif"), [[0, 127.5], [63.75, 255]])
    Image.fromarray(np.full((2, 2), 9, np.uint16)).save(tmp_path / "flat.png")
    assert not read_image(tmp_path / "flat.png").any()


def test_the_deep_images_of_a_series_share_one_window(tmp_path: Path) -> None:
    deep = np.array([[100, 1100], [600, 2100]], np.uint16)
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, pixels in zip(paths, (deep, deep // 2, GREY), strict=False):
        Image.fromarray(pixels).save(path)
    paths[3].write_text("no picture")
    first, second, plain, broken = read_images(paths)
    assert isinstance(broken, DataError)
    np.testing.assert_allclose(first, [(deep - 50.0) * (255 / 2050)], rtol=1e-6)
    np.testing.assert_allclose(second, [(deep // 2 - 50.0) * (255 / 2050)], rtol=1e-6)
    np.testing.assert_array_equal(plain, [GREY])
    alone = read_images(paths, version=1)
    assert [np.max(one) for one in alone[:2]] == [255, 255]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_white_is_zero_is_inverted_at_every_depth(tmp_path: Path, kind: type) -> None:
    pixels = np.arange(24).reshape(4, 6)
    top = 65535 if kind is np.uint16 else 0
    stored = pixels if kind is np.uint8 else top - pixels  # Pillow inverts eight bits in writing, too
    Image.fromarray(pixels.astype(kind)).save(tmp_path / "black.tif")
    Image.fromarray(stored.astype(kind)).save(tmp_path / "white.tif", tiffinfo={262: 0})
    np.testing.assert_allclose(read_image(tmp_path / "white.tif"), read_image(tmp_path / "black.tif"), rtol=1e-6)


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".webp", ".png"])
def test_the_pages_of_an_image_are_slices(tmp_path: Path, suffix: str, settings: Settings) -> None:
    pages = [Image.fromarray(np.full((4, 6), 40 * number, np.uint8)) for number in (0, 2, 5)]
    path = tmp_path / f"FLAIR{suffix}"
    pages[0].save(path, save_all=True, append_images=pages[1:], **({"lossless": True} if suffix == ".webp" else {}))
    assert read_image_size(path) == (4, 6, 3)
    (found,) = read_images([path])
    assert not isinstance(found, DataError)
    assert [int(page.mean()) for page in found] == [0, 80, 200]
    (series,) = scan_series("1", [path], tmp_path, settings).series
    prepared = prepare_images(series, PrepConfig(size_px=32))
    assert (series.slice_total, prepared.slice_total, len(prepared.pixels), prepared.blank_count) == (3, 3, 3, 1)
    assert len(prepare_images(series, PrepConfig(size_px=32, reader_version=1)).pixels) == 1
    with pytest.raises(LimitError, match="3 pages"):
        raise read_images([path], replace(settings, file_pixels=50))[0]  # type: ignore[misc]


def test_pages_of_different_sizes_are_refused_and_thumbnails_passed_over(tmp_path: Path) -> None:
    large, small = (Image.fromarray(np.full((size, size), 90, np.uint8)) for size in (8, 4))
    large.save(tmp_path / "a.tif", save_all=True, append_images=[small])
    with pytest.raises(DataError, match="4 x 4, 8 x 8"):
        read_image_size(tmp_path / "a.tif")
    small.encoderinfo = {"tiffinfo": {254: 1}}
    large.save(tmp_path / "b.tif", save_all=True, append_images=[small])
    assert read_image_size(tmp_path / "b.tif") == (8, 8, 1)


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "really.png")
    (tmp_path / "named.jpg").write_bytes((tmp_path / "really.png").read_bytes())
    np.testing.assert_array_equal(read_image(tmp_path / "named.jpg"), GREY)
    (tmp_path / "without").write_bytes((tmp_path / "really.png").read_bytes())
    assert detect_kind(tmp_path / "without") == "picture"


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DataError, match=r"text\.png is not an image"):
        read_image(tmp_path / "text.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90), np.uint8)).save(tmp_path / "cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.png is a damaged image"):
        read_image(tmp_path / "cut.png")
    with pytest.raises(DataError, match=r"none\.png"):
        read_image(tmp_path / "none.png")


def test_an_image_of_a_kind_that_is_not_decoded_is_refused_with_the_remedy(tmp_path: Path) -> None:
    tags = ((256, 2), (257, 2), (258, 16), (259, 1), (262, 0), (273, 98), (277, 1), (279, 8))  # 16 bits, white is zero
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    content = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries
    (tmp_path / "a.tif").write_bytes(content.ljust(98, b"\0") + bytes(8))
    with pytest.raises(
        DataError, match=r"a\.tif is an image of a kind that is not read, or damaged; save it as .* PNG"
    ):
        read_image(tmp_path / "a.tif")


def test_giant_images_are_refused_from_their_header(tmp_path: Path, settings: Settings) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    with pytest.raises(LimitError, match="claims 4 x 6 pixels; at most 20"):
        read_image(tmp_path / "a.png", replace(settings, file_pixels=20))
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png"):
        read_image(tmp_path / "a.png")


def test_files_are_told_apart_and_walked_in_natural_order(tmp_path: Path) -> None:
    for name in ("b/10.dcm", "b/2.dcm", "a.txt", ".hidden/x.dcm", "__MACOSX/x.dcm", "DICOMDIR", "Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [str(path.relative_to(tmp_path)) for path in walk_files(tmp_path)] == ["a.txt", "b/2.dcm", "b/10.dcm"]
    assert detect_kind(tmp_path / "a.txt") is None
    assert detect_kind(tmp_path / "b/2.dcm") == "dicom"
    assert detect_kind(tmp_path / "nothing.nii.gz") == "nifti"
    assert detect_kind(tmp_path / "nothing") is None


@pytest.mark.filterwarnings("error")
def test_real_images_of_every_mode(shared_data: Path) -> None:
    paths = list(walk_files(shared_data / "imagefolder_yes_no"))
    assert len(paths) == 253
    for path in paths:
        array = read_image(path)
        assert 0 <= array.min() < array.max() <= 255


def test_values_of_32_bits_without_a_sign_are_not_turned_negative(tmp_path: Path) -> None:
    values = np.array([[0, 1 << 30], [3 << 30, (1 << 32) - 1]], "<u4")
    tags = ((256, 2), (257, 2), (258, 32), (259, 1), (262, 1), (273, 122), (277, 1), (279, 16), (339, 1))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + values.tobytes()
    (tmp_path / "a.tif").write_bytes(content)
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), [[0, 63.75], [191.25, 255]], atol=0.1)


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_channels_of_16_bits_are_refused_and_not_cut_to_8(tmp_path: Path, kind: int, channels: int) -> None:
    row = b"\0" + b"\x0f\xa0" * channels * 2

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, kind, 0, 0, 0))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(row * 2)) + chunk(b"IEND", b""))
    with pytest.raises(DataError, match=r"a\.png has 16 bits in each of several channels.*save it as a grey PNG"):
        read_image(path)
