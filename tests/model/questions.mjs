// What the tests ask. The answers are in recorded/.

export const questions = {
  /** Some five seconds, up to the bound. */
  long: "Write a long story about a lighthouse keeper and the sea, in ten chapters.",
  /** One second. */
  short: "What is a server-sent event?",
};
