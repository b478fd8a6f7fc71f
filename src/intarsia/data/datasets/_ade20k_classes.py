"""The 150 classes of ADE20K's scene parsing challenge in their order: first name of objectInfo150, colour of color150, and kind.

Source: https://github.com/CSAILVision/sceneparsing. Things are the 100 classes of the instance segmentation challenge, which
numbers them from 1 in this order; the column "stuff" of objectInfo150, with 35 classes, is another division.
"""

from __future__ import annotations

from intarsia.core import ClassSpace, SegmentationClass

__all__ = ["ADE20K_CLASSES"]

TABLE = """\
wall                  120 120 120 stuff
building              180 120 120 stuff
sky                     6 230 230 stuff
floor                  80  50  50 stuff
tree                    4 200   3 stuff
ceiling               120 120  80 stuff
road                  140 140 140 stuff
bed                   204   5 255 thing
windowpane            230 230 230 thing
grass                   4 250   7 stuff
cabinet               224   5 255 thing
sidewalk              235 255   7 stuff
person                150   5  61 thing
earth                 120 120  70 stuff
door                    8 255  51 thing
table                 255   6  82 thing
mountain              143 255 140 stuff
plant                 204 255   4 stuff
curtain               255  51   7 thing
chair                 204  70   3 thing
car                     0 102 200 thing
water                  61 230 250 stuff
painting              255   6  51 thing
sofa                   11 102 255 thing
shelf                 255   7  71 thing
house                 255   9 224 stuff
sea                     9   7 230 stuff
mirror                220 220 220 thing
rug                   255   9  92 stuff
field                 112   9 255 stuff
armchair                8 255 214 thing
seat                    7 255 224 thing
fence                 255 184   6 thing
desk                   10 255  71 thing
rock                  255  41  10 stuff
wardrobe                7 255 255 thing
lamp                  224 255   8 thing
bathtub               102   8 255 thing
railing               255  61   6 thing
cushion               255 194   7 thing
base                  255 122   8 stuff
box                     0 255  20 thing
column                255   8  41 thing
signboard             255   5 153 thing
chest of drawers        6  51 255 thing
counter               235  12 255 thing
sand                  160 150  20 stuff
sink                    0 163 255 thing
skyscraper            140 140 140 stuff
fireplace             250  10  15 thing
refrigerator           20 255   0 thing
grandstand             31 255   0 stuff
path                  255  31   0 stuff
stairs                255 224   0 thing
runway                153 255   0 stuff
case                    0   0 255 thing
pool table            255  71   0 thing
pillow                  0 235 255 thing
screen door             0 173 255 thing
stairway               31   0 255 stuff
river                  11 200 200 stuff
bridge                255  82   0 stuff
bookcase                0 255 245 thing
blind                   0  61 255 stuff
coffee table            0 255 112 thing
toilet                  0 255 133 thing
flower                255   0   0 thing
book                  255 163   0 thing
hill                  255 102   0 stuff
bench                 194 255   0 thing
countertop              0 143 255 thing
stove                  51 255   0 thing
palm                    0  82 255 thing
kitchen island          0 255  41 thing
computer                0 255 173 thing
swivel chair           10   0 255 thing
boat                  173 255   0 thing
bar                     0 255 153 stuff
arcade machine        255  92   0 thing
hovel                 255   0 255 stuff
bus                   255   0 245 thing
towel                 255   0 102 thing
light                 255 173   0 thing
truck                 255   0  20 thing
tower                 255 184 184 stuff
chandelier              0  31 255 thing
awning                  0 255  61 thing
streetlight             0  71 255 thing
booth                 255   0 204 thing
television              0 255 194 thing
airplane                0 255  82 thing
dirt track              0  10 255 stuff
apparel                 0 112 255 thing
pole                   51   0 255 thing
land                    0 194 255 stuff
bannister               0 122 255 thing
escalator               0 255 163 stuff
ottoman               255 153   0 thing
bottle                  0 255  10 thing
buffet                255 112   0 stuff
poster                143 255   0 stuff
stage                  82   0 255 stuff
van                   163 255   0 thing
ship                  255 235   0 thing
fountain                8 184 170 thing
conveyer belt         133   0 255 stuff
canopy                  0 255  92 stuff
washer                184   0 255 thing
plaything             255   0  31 thing
swimming pool           0 184 255 stuff
stool                   0 214 255 thing
barrel                255   0 112 thing
basket                 92 255   0 thing
waterfall               0 224 255 stuff
tent                  112 224 255 stuff
bag                    70 184 160 thing
minibike              163   0 255 thing
cradle                153   0 255 stuff
oven                   71 255   0 thing
ball                  255   0 163 thing
food                  255 204   0 thing
step                  255   0 143 thing
tank                    0 255 235 stuff
trade name            133 255   0 thing
microwave             255   0 235 thing
pot                   245   0 255 thing
animal                255   0 122 thing
bicycle               255 245   0 thing
lake                   10 190 212 stuff
dishwasher            214 255   0 thing
screen                  0 204 255 thing
blanket                20   0 255 stuff
sculpture             255 255   0 thing
hood                    0 153 255 thing
sconce                  0  41 255 thing
vase                    0 255 204 thing
traffic light          41   0 255 thing
tray                   41 255   0 thing
ashcan                173   0 255 thing
fan                     0 245 255 thing
pier                   71   0 255 stuff
crt screen            122   0 255 stuff
plate                   0 255 184 thing
monitor                 0  92 255 thing
bulletin board        184 255   0 thing
shower                  0 133 255 stuff
radiator              255 214   0 thing
glass                  25 194 194 thing
clock                 102 255   0 thing
flag                   92   0 255 thing
"""


def _entry(value: int, line: str) -> SegmentationClass:
    *name, red, green, blue, kind = line.split()
    return SegmentationClass(" ".join(name), (int(red), int(green), int(blue)), (value,), kind == "thing")


ADE20K_CLASSES = ClassSpace(
    tuple(_entry(value, line) for value, line in enumerate(TABLE.splitlines(), 1)), ignore_id=255, ignore_sources=(0,)
)
