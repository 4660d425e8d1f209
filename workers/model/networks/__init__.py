"""Networks: language decoder, vision towers, cache, decoding step."""
