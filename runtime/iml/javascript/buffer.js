// Buffer, as far as custom functions use it: a Uint8Array with encodings. Names and results as in Node.js.
// Part of the prelude: all files are joined inside one function in strict mode.

const bytesOfLatin1 = ((btoa, fromBase64) => (text) => fromBase64.call(Uint8Array, btoa(text)))(btoa, Uint8Array.fromBase64);
const latin1OfBytes = ((atob) => (bytes) => atob(bytes.toBase64()))(atob);
const isAscii = (text) => /^[\0-\x7f]*$/.test(text);

const ENCODINGS = {
  __proto__: null, utf8: "utf8", "utf-8": "utf8", hex: "hex", base64: "base64", base64url: "base64url", ascii: "ascii",
  latin1: "latin1", binary: "latin1", utf16le: "utf16le", "utf-16le": "utf16le", ucs2: "utf16le", "ucs-2": "utf16le",
};

function encodingName(name) {
  if (name === undefined || name === null || name === "") return "utf8";
  const known = ENCODINGS[String(name).toLowerCase()];
  if (known === undefined) throw new TypeError("Unknown encoding: " + String(name));
  return known;
}

// Malformed UTF-8: each maximal ill-formed part becomes one U+FFFD, as decoders on the web do it.
function decodeMalformed(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; ) {
    const lead = bytes[i++];
    if (lead < 0x80) { text += String.fromCharCode(lead); continue; }
    let needed = lead >= 0xc2 && lead <= 0xdf ? 1 : lead >= 0xe0 && lead <= 0xef ? 2 : lead >= 0xf0 && lead <= 0xf4 ? 3 : 0;
    if (needed === 0) { text += "\ufffd"; continue; }
    let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    let high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    let point = lead & (0x3f >> needed);
    while (needed > 0 && i < bytes.length && bytes[i] >= low && bytes[i] <= high) {
      point = (point << 6) | (bytes[i++] & 0x3f);
      needed -= 1; low = 0x80; high = 0xbf;
    }
    text += needed > 0 ? "\ufffd" : String.fromCodePoint(point);
  }
  return text;
}

function utf8OfBytes(bytes) {
  const latin1 = latin1OfBytes(bytes);
  if (isAscii(latin1)) return latin1;
  try {
    return decodeURIComponent(escape(latin1));
  } catch {
    return decodeMalformed(bytes);
  }
}

function bytesOfText(text, encoding) {
  switch (encodingName(encoding)) {
    case "hex":
      return Uint8Array.fromHex(/^(?:[0-9a-f]{2})*/i.exec(text)[0]);
    case "base64": case "base64url": {
      const end = text.indexOf("=");
      let clean = (end < 0 ? text : text.slice(0, end)).replaceAll("-", "+").replaceAll("_", "/").replace(/[^A-Za-z0-9+/]+/g, "");
      if (clean.length % 4 === 1) clean = clean.slice(0, -1);
      return Uint8Array.fromBase64(clean);
    }
    case "ascii": case "latin1":
      if (/^[\0-\xff]*$/.test(text)) return bytesOfLatin1(text);
      return Uint8Array.from({ length: text.length }, (_, i) => text.charCodeAt(i) & 0xff);
    case "utf16le": {
      const bytes = new Uint8Array(text.length * 2);
      for (let i = 0; i < text.length; i++) {
        const unit = text.charCodeAt(i);
        bytes[2 * i] = unit & 0xff; bytes[2 * i + 1] = unit >> 8;
      }
      return bytes;
    }
    default:
      return bytesOfLatin1(isAscii(text) ? text : unescape(encodeURIComponent(text.toWellFormed())));
  }
}

function textOfBytes(bytes, encoding) {
  switch (encodingName(encoding)) {
    case "hex": return bytes.toHex();
    case "base64": return bytes.toBase64();
    case "base64url": return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
    case "latin1": return latin1OfBytes(bytes);
    case "ascii": return latin1OfBytes(bytes.map((byte) => byte & 0x7f));
    case "utf16le": {
      let text = "";
      for (let i = 0; i + 1 < bytes.length; i += 2) text += String.fromCharCode(bytes[i] | (bytes[i + 1] << 8));
      return text;
    }
    default: return utf8OfBytes(bytes);
  }
}

// A plain Uint8Array over the same memory: what follows must not call methods that a subclass may have replaced.
const viewOf = (value) => new Uint8Array(value.buffer, value.byteOffset, value.byteLength);

function Buffer(value, encodingOrOffset, length) {
  const own = new.target === undefined || new.target === Buffer;
  if (own && typeof value === "string") return Buffer.from(value, encodingOrOffset);
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
    return Reflect.construct(Uint8Array, [value, encodingOrOffset, length], new.target ?? Buffer);
  }
  return Reflect.construct(Uint8Array, value === undefined ? [] : [value], new.target ?? Buffer);
}
Object.setPrototypeOf(Buffer, Uint8Array);
Object.setPrototypeOf(Buffer.prototype, Uint8Array.prototype);

const bufferOf = (bytes) => new Buffer(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const range = (start, end, length) => {
  const from = Math.min(Math.max(Math.trunc(start ?? 0) || 0, 0), length);
  return [from, Math.min(Math.max(end === undefined ? length : Math.trunc(end) || 0, from), length)];
};
function needle(value, encoding) {
  if (typeof value === "string") return bytesOfText(value, encoding);
  if (typeof value === "number") return Uint8Array.of(value & 0xff);
  if (ArrayBuffer.isView(value)) return viewOf(value);
  throw new TypeError('The "value" argument must be a string, a number, a Buffer or a Uint8Array');
}
function find(buffer, value, offset, encoding, step) {
  if (typeof offset === "string") [offset, encoding] = [undefined, encoding ?? offset];
  const hay = viewOf(buffer), part = needle(value, encoding), last = hay.length - part.length;
  let at = offset === undefined || offset !== offset ? (step > 0 ? 0 : last) : Math.trunc(offset);
  if (at < 0) at += hay.length;
  if (step > 0) at = Math.max(at, 0); else at = Math.min(at, last);
  for (; at >= 0 && at <= last; at += step) {
    let i = 0;
    while (i < part.length && hay[at + i] === part[i]) i++;
    if (i === part.length) return at;
  }
  return -1;
}
function order(left, right) {
  const a = needle(left), b = needle(right), shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  return Math.sign(a.length - b.length);
}
const method = (target, functions) => {
  for (const name of Object.keys(functions)) {
    Object.defineProperty(target, name, { value: functions[name], writable: true, configurable: true });
  }
};

method(Buffer, {
  from(value, encodingOrOffset, length) {
    if (typeof value === "string") return bufferOf(bytesOfText(value, encodingOrOffset));
    if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return new Buffer(value, encodingOrOffset, length);
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return bufferOf(Uint8Array.from(value));
    if (value !== null && typeof value === "object") {
      if (value.type === "Buffer" && Array.isArray(value.data)) return bufferOf(Uint8Array.from(value.data));
      if (value instanceof String) return bufferOf(bytesOfText(String(value), encodingOrOffset));
      if (typeof value.length === "number") return bufferOf(Uint8Array.from(Array.from(value)));
    }
    throw new TypeError("The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array");
  },
  alloc(size, fill, encoding) {
    if (typeof size !== "number" || !(size >= 0)) throw new RangeError('The "size" argument is out of range');
    const made = new Buffer(size);
    return fill === undefined || fill === 0 ? made : made.fill(fill, encoding);
  },
  allocUnsafe(size) { return Buffer.alloc(size); },
  allocUnsafeSlow(size) { return Buffer.alloc(size); },
  byteLength(value, encoding) {
    return typeof value === "string" ? bytesOfText(value, encoding).length : value.byteLength;
  },
  compare(left, right) { return order(left, right); },
  concat(list, total) {
    const wanted = total ?? list.reduce((sum, item) => sum + item.length, 0);
    const made = Buffer.alloc(wanted);
    let at = 0;
    for (const item of list) {
      const part = viewOf(item).subarray(0, Math.max(wanted - at, 0));
      made.set(part, at);
      at += part.length;
    }
    return made;
  },
  isBuffer(value) { return value instanceof Buffer; },
  isEncoding(name) { return typeof name === "string" && ENCODINGS[name.toLowerCase()] !== undefined; },
});

method(Buffer.prototype, {
  toString(encoding, start, end) { return textOfBytes(viewOf(this).subarray(...range(start, end, this.length)), encoding); },
  toLocaleString(encoding, start, end) { return this.toString(encoding, start, end); },
  toJSON() { return { type: "Buffer", data: Array.from(viewOf(this)) }; },
  equals(other) { return this === other || order(this, other) === 0; },
  compare(other) { return order(this, other); },
  slice(start, end) { return bufferOf(viewOf(this).subarray(start, end)); },
  subarray(start, end) { return bufferOf(viewOf(this).subarray(start, end)); },
  indexOf(value, offset, encoding) { return find(this, value, offset, encoding, 1); },
  lastIndexOf(value, offset, encoding) { return find(this, value, offset, encoding, -1); },
  includes(value, offset, encoding) { return find(this, value, offset, encoding, 1) >= 0; },
  copy(target, at, start, end) {
    const part = viewOf(this).subarray(...range(start, end, this.length)), into = viewOf(target);
    const count = Math.max(Math.min(part.length, into.length - (at ?? 0)), 0);
    into.set(part.subarray(0, count), at ?? 0);
    return count;
  },
  write(text, offset, length, encoding) {
    if (typeof offset === "string") [offset, encoding] = [0, offset];
    else if (typeof length === "string") [length, encoding] = [undefined, length];
    const at = offset ?? 0, into = viewOf(this), part = bytesOfText(String(text), encoding);
    const count = Math.max(Math.min(part.length, length ?? Infinity, into.length - at), 0);
    into.set(part.subarray(0, count), at);
    return count;
  },
  fill(value, start, end, encoding) {
    if (typeof start === "string") [start, end, encoding] = [undefined, undefined, start];
    const part = needle(value, encoding), into = viewOf(this), [from, to] = range(start, end, into.length);
    for (let at = from; part.length > 0 && at < to; at++) into[at] = part[(at - from) % part.length];
    return this;
  },
});

// readUInt8 ... writeDoubleBE, with the spelling readUint8 beside it as in Node.js.
for (const [name, kind, size] of [["UInt8", "Uint8", 1], ["Int8", "Int8", 1], ["UInt16", "Uint16", 2], ["Int16", "Int16", 2],
  ["UInt32", "Uint32", 4], ["Int32", "Int32", 4], ["Float", "Float32", 4], ["Double", "Float64", 8],
  ["BigUInt64", "BigUint64", 8], ["BigInt64", "BigInt64", 8]]) {
  for (const end of size === 1 ? [""] : ["LE", "BE"]) {
    const view = (buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    const read = function (offset = 0) { return view(this)["get" + kind](offset, end === "LE"); };
    const write = function (value, offset = 0) { view(this)["set" + kind](offset, value, end === "LE"); return offset + size; };
    for (const spelling of new Set([name, name.replace("UInt", "Uint")])) {
      method(Buffer.prototype, { ["read" + spelling + end]: read, ["write" + spelling + end]: write });
    }
  }
}
