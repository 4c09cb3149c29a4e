"""Writing one de-identified image: DICOM, NIfTI or a picture. Each is made anew; nothing unread is carried over."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import dcmread
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from core.data.formats.dicom import PARSER_ERRORS, load_file, read_stored
from core.data.formats.images import read_image_size
from core.data.formats.nifti import GZIP_ERRORS, read_nifti_header
from core.deidentify.attributes import deidentify_dataset
from core.deidentify.pseudonyms import Pseudonyms
from core.errors import DataError
from core.files import replace_atomically
from core.settings import Settings

NIFTI_FIELDS = (
    *("datatype", "bitpix", "pixdim", "xyzt_units", "dim_info", "intent_code", "qform_code", "sform_code"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)
"""Header fields that say how the voxels are stored and where they lie; any other may hold what nobody reads."""


def write_dicom(
    source: Path, target: Path, person: str, number: str, description: str, pseudonyms: Pseudonyms, settings: Settings
) -> None:
    """Write a DICOM object, uncompressed: a codestream, overlay bits and padding can hold text.

    Raises
    ------
    DataError
        It cannot be read, or has pixels that are no whole numbers.
    """
    content = load_file(source)
    _, frames, _ = read_stored(content, source, settings)
    if frames[0].dtype.kind == "f":
        raise DataError(f"{source.name} has floating-point pixels, which are not rewritten; export whole numbers.")
    try:
        original = dcmread(io.BytesIO(content), force=True)
        copy = deidentify_dataset(original, person, number, description, pseudonyms)
    except PARSER_ERRORS as error:
        raise DataError(f"{source.name} has attributes that cannot be read: {error}.") from error
    pixels = np.stack(frames)
    _describe_pixels(copy, pixels)
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    copy.file_meta.MediaStorageSOPClassUID = copy.SOPClassUID
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    copy.preamble = b"\0" * 128
    with replace_atomically(target, durable=False) as beside:
        dcmwrite(beside, copy, enforce_file_format=True)


def _describe_pixels(copy: Dataset, pixels: NDArray[Any]) -> None:
    bits = pixels.dtype.itemsize * 8
    stored = min(int(copy.get("BitsStored") or bits), bits)
    signed = pixels.dtype.kind == "i"
    if pixels.max() >= 1 << (stored - signed) or (signed and pixels.min() < -(1 << (stored - 1))):
        stored = bits
    copy.BitsAllocated, copy.BitsStored, copy.HighBit, copy.PixelRepresentation = bits, stored, stored - 1, int(signed)
    content = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    copy.add_new("PixelData", "OB" if bits == 8 else "OW", content + b"\0" * (len(content) % 2))


def write_nifti(source: Path, target: Path, slice_axis: int | None, settings: Settings) -> None:
    """Write a NIfTI volume: its voxels as they are stored, of its header what tells where they lie, no extensions.

    `slice_axis` is what its sidecar, which is not copied, says of the slices; the header says it from now on.

    Raises
    ------
    DataError
        It cannot be read.
    """
    read_nifti_header(source, settings)  # within the limits
    try:
        content = source.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        image = nibabel.Nifti2Image if content[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nibabel.Nifti1Image
        loaded: Any = image.from_bytes(content)
        header = image.header_class(endianness=loaded.header.endianness)
        raw = np.asanyarray(loaded.dataobj.get_unscaled())
    except (*GZIP_ERRORS, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise DataError(f"{source.name} is damaged: {error}.") from error
    slope, intercept = loaded.dataobj.slope, loaded.dataobj.inter
    for name in NIFTI_FIELDS:
        header[name] = loaded.header[name]
    header["pixdim"][1 + raw.ndim :] = 1
    if slice_axis is not None:
        header.set_dim_info(slice=slice_axis)
    written = image(raw, None, header)
    written.header.set_slope_inter(slope, intercept)
    buffer = io.BytesIO()
    files = written.make_file_map({"image": buffer, "header": buffer})
    written.to_file_map(files)
    packed = gzip.compress(buffer.getvalue(), 6, mtime=0) if target.name.endswith(".gz") else buffer.getvalue()
    with replace_atomically(target, durable=False) as beside:
        beside.write_bytes(packed)


def write_picture(source: Path, target: Path, settings: Settings) -> None:
    """Write the pixels of a picture of one page as PNG, upright and without any metadata.

    Raises
    ------
    DataError
        It cannot be read, or has several pages.
    """
    if read_image_size(source, settings)[2] != 1:
        raise DataError(f"{source.name} has several pages; export one picture a slice.")
    with Image.open(source) as image:
        upright = ImageOps.exif_transpose(image)
        mode = upright.mode if upright.mode in ("L", "LA", "RGB", "RGBA", "I;16", "1") else "RGBA"
        mode = "I;16" if upright.mode in ("I", "I;16B", "I;16L", "I;16N") else mode
        pixels = upright.convert(mode) if upright.mode != mode else upright
        plain = Image.frombytes(pixels.mode, pixels.size, pixels.tobytes())
    with replace_atomically(target, durable=False) as beside:
        plain.save(beside, "PNG")
