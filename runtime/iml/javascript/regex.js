// Regular expressions on behalf of the runtime. Patterns and texts come as JSON text; nothing of an app runs here.
// Answers: "=" + JSON, or "!" + JSON text of the engine's message for an invalid pattern.
(function () {
  "use strict";

  function matches(regex, text, limit) {
    const found = [];
    let match;
    while ((match = regex.exec(text)) !== null) {
      const groups = [];
      for (let i = 1; i < match.length; i++) groups.push(match[i] === undefined ? null : match[i]);
      // Pairs, since a group may be called __proto__ or $.
      const named = match.groups === undefined ? [] : Object.entries(match.groups);
      found.push([match.index, match[0], groups, named.map(([name, value]) => [name, value === undefined ? null : value])]);
      if (!regex.global || found.length === limit) break;
      if (match[0] === "") {
        const unit = regex.unicode || regex.unicodeSets ? text.codePointAt(regex.lastIndex) : 0;
        regex.lastIndex += unit > 0xffff ? 2 : 1;
      }
    }
    return found;
  }

  return function (operation, pattern, flags, text, extra) {
    let regex;
    try {
      regex = new RegExp(JSON.parse(pattern), flags);
    } catch (error) {
      return "!" + JSON.stringify(error.message);
    }
    const subject = JSON.parse(text);
    const result = operation === "match" ? matches(regex, subject, Number(extra)) : subject.replace(regex, JSON.parse(extra));
    // Not with +: the engine joins long texts lazily and cannot hand such a one out.
    return ["=", JSON.stringify(result)].join("");
  };
})()
