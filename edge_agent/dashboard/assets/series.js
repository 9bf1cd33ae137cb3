// Columns over time. Times are the agent's own seconds, which never go back; `offset` makes them
// those of the wall.

class Columns {
  constructor(step, most) {
    this.step = step;
    this.most = most;
    this.points = new Map();
  }

  clear() {
    this.points.clear();
  }

  /** What was told, again or for the first time. */
  take(columns) {
    const names = Object.keys(columns).filter((name) => name !== "t");
    columns.t.forEach((t, index) => {
      this.points.set(t, Object.fromEntries(names.map((name) => [name, columns[name][index]])));
    });
    const excess = this.points.size - this.most;
    if (excess > 0) for (const t of [...this.points.keys()].sort((a, b) => a - b).slice(0, excess)) this.points.delete(t);
  }

  /** When it begins. */
  get first() {
    return this.size ? Math.min(...this.points.keys()) : Infinity;
  }

  /** Shares of the answers over the last ten points, each weighted by its answers: one second of a
   * few answers says too little. */
  smooth(names) {
    const times = [...this.points.keys()].sort((a, b) => a - b);
    const found = new Map();
    times.forEach((t, index) => {
      const near = times.slice(Math.max(0, index - 9), index + 1).filter((one) => t - one < 10 * this.step).map((one) => this.points.get(one));
      const weight = near.reduce((sum, one) => sum + one.rate, 0);
      const mean = (name) => (weight ? near.reduce((sum, one) => sum + one.rate * (one[name] ?? 0), 0) / weight : null);
      found.set(t, { ...this.points.get(t), ...Object.fromEntries(names.map((name) => [name, mean(name)])) });
    });
    const smoothed = new Columns(this.step, this.most);
    smoothed.points = found;
    return smoothed;
  }

  /** [times, ...values] of these names in wall seconds, at the end of each span; a gap where something
   * is missing. */
  rows(names, toWall) {
    const offset = toWall + this.step;
    const times = [...this.points.keys()].sort((a, b) => a - b);
    const rows = [[], ...names.map(() => [])];
    let before = null;
    for (const t of times) {
      if (before !== null && t - before > 1.5 * this.step) {
        rows[0].push(before + this.step + offset);
        names.forEach((_, index) => rows[index + 1].push(null));
      }
      rows[0].push(t + offset);
      names.forEach((name, index) => rows[index + 1].push(this.points.get(t)[name]));
      before = t;
    }
    return rows;
  }

  get size() {
    return this.points.size;
  }
}

/** Thresholds by task and target, as the moments at which they changed. */
class Thresholds {
  constructor() {
    this.series = new Map();
  }

  clear() {
    this.series.clear();
  }

  take(told) {
    for (const one of told) {
      const key = `${one.task}\u0000${one.target}`;
      const known = this.series.get(key) ?? { task: one.task, target: one.target, changes: new Map() };
      one.t.forEach((t, index) => known.changes.set(t, one.threshold[index]));
      this.series.set(key, known);
    }
  }

  get names() {
    const all = [...this.series.values()];
    const several = new Set(all.map((one) => one.task)).size > 1;
    return all.map((one) => (several ? `${one.task} ` : "") + targetWords(one.target));
  }

  /** Steps from `from` to `to`, the agent's seconds; above 1 everything goes up, drawn at 1. */
  rows(from, to, offset) {
    const all = [...this.series.values()];
    const moments = new Set([from, to]);
    for (const one of all) for (const t of one.changes.keys()) if (t > from && t < to) moments.add(t);
    const times = [...moments].sort((a, b) => a - b);
    const values = all.map((one) => {
      const changes = [...one.changes].sort((a, b) => a[0] - b[0]);
      return times.map((t) => {
        const past = changes.filter((change) => change[0] <= t);
        return past.length ? Math.min(1, past[past.length - 1][1]) : null;
      });
    });
    return [times.map((t) => t + offset), ...values];
  }
}
