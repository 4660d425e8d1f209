"""From stored values to a Frame: Modality LUT, VOI LUT, image matrix."""
