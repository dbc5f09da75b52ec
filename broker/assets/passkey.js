// Passkeys: the block `[data-passkey]` on the page says for what: "sign-in", "second" or "new". It stays hidden
// where the browser knows no passkeys.
const paths = {
  'sign-in': ['/sign-in/passkey', '/sign-in/passkey/answer'],
  second: ['/sign-in/second/passkey', '/sign-in/second/passkey/answer'],
  new: ['/account/passkeys/begin', '/account/passkeys/answer'],
};
const csrf = document.querySelector('meta[name="csrf"]').content;

const bytes = (text) => Uint8Array.from(
  atob(text.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0),
);
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');

async function post(path, body) {
  const answer = await fetch(path, {
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': 'application/json', 'x-csrf': csrf },
    body: JSON.stringify(body),
  });
  if (answer.status === 401) location.assign('/sign-in');
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function known(list) {
  return list?.map((key) => ({ ...key, id: bytes(key.id) }));
}

/** What the browser made or signed, as JSON. */
async function ask(what, { publicKey }) {
  const options = { ...publicKey, challenge: bytes(publicKey.challenge) };
  if (what === 'new') {
    options.user = { ...publicKey.user, id: bytes(publicKey.user.id) };
    options.excludeCredentials = known(publicKey.excludeCredentials);
    const made = await navigator.credentials.create({ publicKey: options });
    return { ...shared(made), response: {
      attestationObject: text(made.response.attestationObject),
      clientDataJSON: text(made.response.clientDataJSON),
      transports: made.response.getTransports?.(),
    } };
  }
  options.allowCredentials = known(publicKey.allowCredentials);
  const shown = await navigator.credentials.get({ publicKey: options });
  return { ...shared(shown), response: {
    authenticatorData: text(shown.response.authenticatorData),
    clientDataJSON: text(shown.response.clientDataJSON),
    signature: text(shown.response.signature),
    userHandle: shown.response.userHandle && text(shown.response.userHandle),
  } };
}

function shared(credential) {
  return { id: credential.id, rawId: text(credential.rawId), type: credential.type, extensions: {} };
}

/** The recovery codes that came with the first passkey, this once. */
function show(codes) {
  const section = document.querySelector('[data-codes]');
  const list = section.querySelector('pre');
  list.textContent = `${codes.join('\n')}\n`;
  document.querySelector('[data-before-codes]').hidden = true;
  section.hidden = false;
  list.focus();
}

for (const block of document.querySelectorAll('[data-passkey]')) {
  if (!window.PublicKeyCredential) break;
  const what = block.dataset.passkey;
  const [begin, finish] = paths[what];
  const button = block.querySelector('button');
  const failed = block.querySelector('[data-failed]');
  block.hidden = false;
  document.querySelector('[data-passkey-missing]')?.remove();
  button.addEventListener('click', async () => {
    button.disabled = true;
    failed.hidden = true;
    try {
      const { options, ceremony } = await post(begin, {});
      const credential = await ask(what, options);
      const form = document.getElementById('sign-in');
      const { next, codes } = await post(finish, {
        ceremony,
        credential,
        name: block.querySelector('[name="name"]')?.value ?? '',
        next: form?.elements.next.value ?? '',
        keep: form?.elements.keep.checked ?? false,
      });
      if (codes?.length) show(codes);
      else location.assign(next);
    } catch {
      // Refused by the person, the device or us: said in words, and everything else on the page still works.
      failed.textContent = failed.dataset.failed;
      failed.hidden = false;
      button.disabled = false;
    }
  });
}
