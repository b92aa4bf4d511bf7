// Whether a page can be read.

/** In the page: texts whose contrast is under 4.5, the least of WCAG 2.2 at level AA. */
export function lowContrasts() {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [red, green, blue] = channels(color).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const background = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return channels(color)[3] === 0 ? background(element.parentElement) : color;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const texts = [...document.body.querySelectorAll("*")].filter(
    (element) => element.matches("input:not([type=checkbox]), textarea") || own(element),
  );
  return texts
    .filter((element) => !element.disabled)
    .map((element) => [element.id || element.className || element.localName, contrast(getComputedStyle(element).color, background(element))])
    .filter(([, ratio]) => ratio < 4.5);
}
