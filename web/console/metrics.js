// The hub's counters, from the text of `/metrics`.

export class Metrics {
  #samples = [];

  /** Source: OpenMetrics, "Text format". */
  static parse(text) {
    const metrics = new Metrics();
    for (const line of text.split("\n")) {
      const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
      if (!name) continue;
      const label = /="((?:[^"\\]|\\.)*)"/.exec(labels)?.[1];
      metrics.#samples.push({ name, label, value: Number(value) });
    }
    return metrics;
  }

  /** The value of a metric without labels. `undefined` if the hub has no such metric. */
  value(name) {
    return this.#samples.find((sample) => sample.name === name)?.value;
  }

  /** The values of a metric by its only label. */
  byLabel(name) {
    return new Map(this.#samples.filter((sample) => sample.name === name).map(({ label, value }) => [label, value]));
  }
}
