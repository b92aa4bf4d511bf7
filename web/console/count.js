// Counts and rates, in as many digits as one reads at a glance.

const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** As `950`, `12.3K`. */
export const formatCount = (count) => short.format(count);

/** As `0.4/s`. */
export const formatRate = (rate) => `${short.format(Math.round(rate * 10) / 10)}/s`;
