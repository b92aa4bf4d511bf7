// Counts and rates, in as many digits as one reads at a glance.

const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** As `950`, `12.3K`. */
export const formatCount = (count) => short.format(count);

/** As `40 s`, `12 min`, `3 h`, `5 d`. */
export function formatAge(seconds) {
  const units = [["d", 86_400], ["h", 3600], ["min", 60]];
  const [unit, length] = units.find(([, length]) => seconds >= length) ?? ["s", 1];
  return `${Math.floor(seconds / length)} ${unit}`;
}

/** As `0.4/s`. */
export const formatRate = (rate) => `${short.format(Math.round(rate * 10) / 10)}/s`;
