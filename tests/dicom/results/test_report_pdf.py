"""The report page as an Encapsulated PDF (PS3.3 A.45.1)."""

from dicom.results.report_pdf import report_pdf


def test_the_document_is_a_pdf_about_the_image(image_header, make_draft, equipment):
    """Its stated length is that of the PDF; odd ones are padded; the same draft, the same bytes."""
    header = image_header()
    draft = make_draft(header)
    made = report_pdf(draft, header, equipment)
    content = made.EncapsulatedDocument
    assert content.startswith(b"%PDF-")
    assert content[: made.EncapsulatedDocumentLength].rstrip().endswith(b"%%EOF")
    assert len(content) % 2 == 0
    assert len(content) - made.EncapsulatedDocumentLength in {0, 1}
    assert (made.Modality, made.VerificationFlag) == ("DOC", "UNVERIFIED")
    (source,) = made.SourceInstanceSequence
    assert source.ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert content == report_pdf(draft, header, equipment).EncapsulatedDocument
    assert b"SYN-1" not in content
