// The dialog in which a person whose login has ended logs in again, without leaving the page.
let pending = null;

const ask = (dialog, article) =>
  new Promise((resolve) => {
    const form = dialog.querySelector("form");
    const fault = dialog.querySelector(".fault");
    const over = new AbortController();
    const end = (done) => {
      over.abort();
      if (dialog.open) dialog.close();
      form.elements.password.value = "";
      resolve(done);
    };
    const submit = async (event) => {
      event.preventDefault();
      const sent = new FormData(form);
      fault.textContent = "";
      try {
        const address = `${article.dataset.root}login`;
        const answer = await fetch(address, { method: "POST", body: sent, headers: { Accept: "application/json" } });
        const reply = await answer.json();
        if (!answer.ok) {
          fault.textContent = reply.error;
        } else if (reply.login !== article.dataset.login) {
          location.reload(); // another person: their page, not this one's text
        } else {
          end(true);
        }
      } catch {
        fault.textContent = "The service does not answer. Try again.";
      }
    };
    form.addEventListener("submit", submit, { signal: over.signal });
    dialog.querySelector("#login-done").addEventListener("click", () => end(true), { signal: over.signal });
    dialog.addEventListener("close", () => end(false), { signal: over.signal });
    dialog.showModal();
    form.elements.password.focus();
  });

// Resolves with true when the person has logged in again, with false when they closed the dialog.
export const logIn = () => {
  const dialog = document.getElementById("login-dialog");
  const article = document.getElementById("study");
  if (!dialog || !article) return Promise.resolve(false);
  pending ??= ask(dialog, article).finally(() => { pending = null; });
  return pending;
};
