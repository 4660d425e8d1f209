// The only Trusted Types policy of this site (Content-Security-Policy: trusted-types wetread). Markup is HTML
// that this server rendered with every value escaped; scripts are files of this site.
const ownScript = (address) => {
  const url = new URL(address, document.baseURI);
  if (url.origin !== location.origin) throw new TypeError("not a script of this site");
  return url.href;
};
const rules = { createHTML: (html) => html, createScriptURL: ownScript };
const policy = window.trustedTypes ? window.trustedTypes.createPolicy("wetread", rules) : rules;

export const trustedHTML = (html) => policy.createHTML(html);
export const trustedScript = (address) => policy.createScriptURL(address);
