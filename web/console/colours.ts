/** Colours of the theme, for canvases. */

const colour = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Custom properties hold `light-dark(...)`; a canvas needs the colour that it means now. */
export function resolved(name: string): string {
  const probe = document.createElement("i");
  probe.style.color = colour(name);
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
