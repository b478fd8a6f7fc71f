"""From what a network returns to a segmentation, and from segmentations to one. `create_decoder` finds what decodes objects."""

from intarsia.postprocess._decoder import Decoder, create_decoder, decoder_options

__all__ = ["Decoder", "create_decoder", "decoder_options"]
