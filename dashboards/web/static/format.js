// Numbers, durations and times for people. Times are epoch seconds, shown in the store's zone.
const NOTHING = "–";
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const cent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 });
const signed = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0, signDisplay: "exceptZero" });
const clocks = new Map();

export const number = (v) => (v === null || v === undefined ? NOTHING : whole.format(v));
export const percent = (v) => (v === null || v === undefined ? NOTHING : cent.format(v));

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

function clock(zone, kind) {
  const key = `${zone} ${kind}`;
  if (!clocks.has(key)) {
    const parts = {
      time: { hour: "2-digit", minute: "2-digit" },
      second: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
      date: { weekday: "short", day: "numeric", month: "short" },
      day: { year: "numeric", month: "2-digit", day: "2-digit" },
    }[kind];
    clocks.set(key, new Intl.DateTimeFormat(undefined, { ...parts, timeZone: zone || undefined, hourCycle: "h23" }));
  }
  return clocks.get(key);
}

export const timeOf = (epoch, zone, kind = "time") => clock(zone, kind).format(new Date(epoch * 1000));

// The time alone when it is of today, else with its day.
export function moment(epoch, zone, now) {
  if (epoch === null || epoch === undefined) return "never";
  const same = timeOf(epoch, zone, "day") === timeOf(now, zone, "day");
  return same ? timeOf(epoch, zone) : `${timeOf(epoch, zone, "date")} ${timeOf(epoch, zone)}`;
}

export function shown(value, unit, zone, now) {
  if (unit === "time") return moment(value, zone, now);
  if (value === null || value === undefined) return NOTHING;
  if (unit === "people" || unit === "count") return number(value);
  if (unit === "share" || unit === "ratio") return percent(value);
  if (unit === "seconds") return (value < 0 ? "−" : "") + duration(Math.abs(value));
  if (unit === "score") return value.toFixed(2);
  return String(value);
}

// "+4%" with a direction that does not need colour; null when there is nothing to compare with.
export function change(value, before) {
  if (value === null || value === undefined || before === null || before === undefined) return null;
  if (!before) return value ? { words: "new", way: "up" } : { words: "same", way: "same" };
  const share = value / before - 1;
  const same = Math.abs(share) < 0.005;
  return { words: same ? "same" : signed.format(share).replace("-", "−"), way: same ? "same" : share > 0 ? "up" : "down" };
}

export function levelOf(value, field) {
  if (value === null || value === undefined) return "none";
  if (field.alarm !== null && value >= field.alarm) return "alarm";
  if (field.warn !== null && value >= field.warn) return "warn";
  return "ok";
}
