// Values between the runtime and scripts, as JSON text with marks; values.py is the other side and explains them.

const MAX_DEPTH = 200;
const jsonParse = JSON.parse, jsonText = JSON.stringify;
const dateValue = Date.prototype.getTime;

// A result that is no value; `kind` tells the runtime which.
class NoValue extends Error {
  constructor(message, kind) { super(message); this.kind = kind ?? "value"; }
}

function assign(target, key, value) {
  if (key === "__proto__") Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  else target[key] = value;
}

function revive(value) {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = revive(value[i]);
    return value;
  }
  if (!Object.hasOwn(value, "$")) {
    for (const key of Object.keys(value)) assign(value, key, revive(value[key]));
    return value;
  }
  const [kind, data] = value.$;
  switch (kind) {
    case "date": return new Date(data);
    case "buffer": return bufferOf(Uint8Array.fromBase64(data));
    case "number": return Number(data);
    case "object":
      for (const key of Object.keys(data)) assign(data, key, revive(data[key]));
      return data;
    default: return undefined;
  }
}

function decodeValue(text) {
  const value = jsonParse(text);
  return text.includes('"$":') ? revive(value) : value;
}

function encodeNumber(value) {
  // Beyond the exact integers the digits that JavaScript prints are not those of the double: say that it is one.
  if (value - value === 0) return Math.abs(value) > Number.MAX_SAFE_INTEGER ? value.toExponential() : "" + value;
  return '{"$":["number","' + value + '"]}';
}

// Dates beyond the years that the runtime can hold would fail there without naming the function.
const MIN_DATE = Date.parse("0001-01-01T00:00:00Z"), MAX_DATE = Date.parse("9999-12-31T23:59:59.999Z");

function encodeSpecial(value) {
  if (value instanceof Date) {
    const instant = dateValue.call(value);
    if (instant !== instant) return "null";
    if (instant < MIN_DATE || instant > MAX_DATE) throw new NoValue("A date is outside the years 1 to 9999.");
    return '{"$":["date",' + instant + "]}";
  }
  if (ArrayBuffer.isView(value)) return '{"$":["buffer","' + viewOf(value).toBase64() + '"]}';
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
    return '{"$":["buffer","' + new Uint8Array(value).toBase64() + '"]}';
  }
  if (value instanceof Promise) throw new NoValue("a Promise", "promise");
  for (const type of [Map, Set, WeakMap, WeakSet, WeakRef]) {
    if (value instanceof type) throw new NoValue("A " + type.name + " is no value that a function can return.");
  }
  if (value instanceof String || value instanceof Number || value instanceof Boolean) return encodeValue(value.valueOf(), 1);
  return undefined;
}

function encodeObject(value, depth) {
  if (depth > MAX_DEPTH) throw new NoValue("The value is nested more than " + MAX_DEPTH + " levels deep, or contains itself.");
  const parts = [];
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) parts.push(encodeValue(value[i], depth + 1) ?? "null");
    return "[" + parts.join(",") + "]";
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) {
    const special = encodeSpecial(value);
    if (special !== undefined) return special;
  }
  let marked = false;
  for (const key of Object.keys(value)) {
    const text = encodeValue(value[key], depth + 1);
    if (text === undefined) continue;
    if (key === "$") marked = true;
    parts.push(jsonText(key) + ":" + text);
  }
  const text = "{" + parts.join(",") + "}";
  return marked ? '{"$":["object",' + text + "]}" : text;
}

// The JSON text of a value; undefined for undefined, which the caller drops, nulls or marks.
function encodeValue(value, depth) {
  switch (typeof value) {
    case "string": return jsonText(value);
    case "number": return encodeNumber(value);
    case "boolean": return value ? "true" : "false";
    case "undefined": return undefined;
    case "object": return value === null ? "null" : encodeObject(value, depth);
    default: throw new NoValue("A " + typeof value + " is no value that a function can return.");
  }
}

const encodeTop = (value) => encodeValue(value, 0) ?? '{"$":["undefined"]}';

// The engine joins long texts lazily and cannot hand such a one out: everything that leaves goes through here.
const joined = (...parts) => parts.join("");
