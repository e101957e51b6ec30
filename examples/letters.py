"""Six letters as pictures, for `unrolled hopfield store letters/*.png -o memory`: python examples/letters.py"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path("letters")
FOLDER.mkdir(exist_ok=True)
font = ImageFont.load_default(44)
for letter in "HOPFIX":
    picture = Image.new("L", (48, 48), "white")
    ImageDraw.Draw(picture).text((24, 24), letter, font=font, fill="black", anchor="mm", stroke_width=2)
    picture.save(FOLDER / f"{letter}.png")
