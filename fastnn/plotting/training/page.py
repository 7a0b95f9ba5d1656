"""The page of an animation: picture, button and slider; light or dark as the screen is."""

from __future__ import annotations

import html
import json
import string
from collections.abc import Sequence


def render(
    pictures: dict[str, list[str]],
    colors: dict[str, tuple[str, str]],
    *,
    size: tuple[int, int],
    epochs: Sequence[int],
    milliseconds: float,
    hold: float,
    title: str,
) -> str:
    """The text of the page, which loads nothing.

    Parameters
    ----------
    pictures : dict of list of str
        For "light" and "dark" screens: PNG files in base64, one for each frame.
    colors : dict of pair of str
        For both: the colours of background and text.
    size : width, height
    epochs : sequence of int
        One for each frame.
    milliseconds, hold : float
        How long each frame stays, and how much longer the last one.
    title : str
    """
    (light_paper, light_ink), (dark_paper, dark_ink) = colors["light"], colors["dark"]
    return _PAGE.substitute(
        title=html.escape(title), width=size[0], height=size[1], last=len(epochs) - 1,
        light_paper=light_paper, light_ink=light_ink, dark_paper=dark_paper, dark_ink=dark_ink,
        pictures=json.dumps(pictures), epochs=json.dumps(epochs),
        milliseconds=round(milliseconds), hold=round(hold),
    )  # fmt: skip


_PAGE = string.Template("""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
  :root { color-scheme: light; --paper: $light_paper; --ink: $light_ink; }
  @media (prefers-color-scheme: dark) {
    :root { color-scheme: dark; --paper: $dark_paper; --ink: $dark_ink; }
  }
  body {
    font: 16px/1.4 system-ui, sans-serif; max-width: ${width}px; margin: 1.5em auto;
    background: var(--paper); color: var(--ink);
  }
  img { display: block; width: 100%; height: auto; }
  .controls { display: flex; gap: 1em; align-items: center; padding: .5em; }
  input { flex: 1; }
  output { min-width: 7em; }
</style>
<h1>$title</h1>
<img id="picture" width="$width" height="$height" alt="data, prediction and loss">
<div class="controls">
  <button type="button" id="play" aria-label="play or pause">pause</button>
  <input type="range" id="frame" min="0" max="$last" value="0" aria-label="frame">
  <output id="epoch" for="frame"></output>
</div>
<script>
const pictures = $pictures;
const epochs = $epochs, last = $last, milliseconds = $milliseconds, hold = $hold;
const [picture, play, slider, epoch] = ["picture", "play", "frame", "epoch"].map(
  id => document.getElementById(id));
const dark = matchMedia("(prefers-color-scheme: dark)");
let timer = null;
function show(i) {
  slider.value = i;
  picture.src = "data:image/png;base64," + pictures[dark.matches ? "dark" : "light"][i];
  epoch.textContent = "epoch " + epochs[i];
}
function wait() {
  timer = setTimeout(() => {
    show(+slider.value === last ? 0 : +slider.value + 1);
    wait();
  }, milliseconds + (+slider.value === last ? hold : 0));
}
function run(on) {
  clearTimeout(timer);
  timer = null;
  if (on) wait();
  play.textContent = on ? "pause" : "play";
}
slider.oninput = () => { run(false); show(+slider.value); };
play.onclick = () => run(timer === null);
dark.onchange = () => show(+slider.value);
show(0);
run(!matchMedia("(prefers-reduced-motion: reduce)").matches);
</script>
</html>
""")
