// Counts and rates, rounded so that they are easy to read.

const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** Such as `950`, `12.3K`. */
export const formatCount = (count) => short.format(count);

/** Such as `40 s`, `12 min`, `3 h`, `5 d`. */
export function formatAge(seconds) {
  const units = [["d", 86_400], ["h", 3600], ["min", 60]];
  const [unit, length] = units.find(([, length]) => seconds >= length) ?? ["s", 1];
  return `${Math.floor(seconds / length)} ${unit}`;
}

/** Such as `0.4/s`. */
export const formatRate = (rate) => `${short.format(Math.round(rate * 10) / 10)}/s`;
