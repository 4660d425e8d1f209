"""A box that a model finds lies on the same anatomy in the image's matrix and in the annotated image."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from PIL import Image
from pydicom import Dataset

from dicom.content.result_header import Equipment
from dicom.errors import DicomError
from dicom.pixels.frame import PixelLimits, load_frame
from dicom.results.annotated_image import overlay_image
from dicom.results.annotated_image_layout import Layout
from workers.model.preprocess import center_square, gray_image
from workers.reading.content.locating import central_square

LIMITS = PixelLimits(max_pixels=2**26, max_bytes=2**28)
MODEL = 256  # pixels of the square that the model is shown
BOX = 56
ALIKE = 0.97


def cut(picture, corners):
    """The pixels between two corners, (column, row), of an 8-bit picture, at the model's resolution."""
    (left, top), (right, bottom) = corners
    size = (BOX, BOX)
    part = picture.resize(size, Image.Resampling.BICUBIC, box=(left, top, right, bottom))
    return np.asarray(part, float).ravel()


def likeness(one, other):
    """The correlation of two cuts."""
    return float(np.corrcoef(one, other)[0, 1])


def test_a_box_of_the_model_lies_on_the_same_anatomy_for_every_image(shared_data, make_draft):
    """Boxes all over the model's square are cut out of image and annotated image: both show the same."""
    header = Dataset()
    header.StudyInstanceUID = header.SOPInstanceUID = header.SeriesInstanceUID = "1.2.3"
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    seen = 0
    for path in sorted((shared_data / "cxr-dicom").glob("*.dcm")):
        try:
            frame = load_frame(path, LIMITS).pixels
        except DicomError:
            continue  # without pixels nothing can be found on it
        rows, columns = frame.shape
        image, square = gray_image(frame), central_square(rows, columns)
        shown = center_square(image, MODEL)
        source = replace(make_draft(header).source, rows=rows, columns=columns)
        draft = make_draft(header, source=source, findings=())
        moment = datetime(2026, 3, 4, tzinfo=UTC)
        canvas = overlay_image(draft, frame, Equipment(device_uid="2.25.1"), moment).convert("L")
        layout = Layout.of(rows, columns, canvas.width)
        for left, top in ((30, 40), (170, 40), (100, 100), (40, 160), (165, 165)):
            box = ((left, top), (left + BOX, top + BOX))
            model = cut(shown, box)
            if model.std() < 2:
                continue  # nothing to distinguish there
            on_image = [square.on_image(x / MODEL, y / MODEL) for x, y in box]
            on_canvas = layout.on_canvas(tuple(on_image), rows, columns)
            assert likeness(model, cut(image, on_image)) > ALIKE, (path.name, left, top)
            assert likeness(model, cut(canvas, on_canvas)) > ALIKE, (path.name, left, top)
            aside = [(x + 0.1 * square.edge, y) for x, y in on_image]
            assert likeness(model, cut(image, aside)) < likeness(model, cut(image, on_image))
            seen += 1
    assert seen > 60
