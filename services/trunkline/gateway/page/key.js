// The API key: in this tab's session storage, or from `#key=…` in the address, which is removed at once.

const NAME = "trunkline.key";

export const kept = () => sessionStorage.getItem(NAME) ?? "";

/** An empty key is forgotten. */
export function keep(key) {
  if (key) sessionStorage.setItem(NAME, key);
  else sessionStorage.removeItem(NAME);
}

/** Whether the address brought a key. It is then kept, and gone from the address and its history. */
export function takeFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given === null) return false;
  history.replaceState(null, "", location.pathname + location.search);
  keep(given.trim());
  return true;
}
