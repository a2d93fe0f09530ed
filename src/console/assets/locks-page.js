/**
 * The accounts and addresses that are locked out after failed attempts.
 *
 * @module
 */

import { announce } from "./announcements.js";
import { all, destroy } from "./api.js";
import { confirmAction } from "./dialog.js";
import { html, nothing } from "./lit-html.js";
import { Loaded } from "./loaded.js";
import { href } from "./router.js";
import { strings } from "./strings.js";
import { count, shown, time } from "./text.js";

const t = strings.locks;

/** @typedef {{kind: "account_from_address" | "address" | "account", username?: string, address?: string, failures: number, waits_until: string}} Lock */

/** @returns {import("./frame.js").Page} */
export function locksPage() {
  const page = new LocksPage();
  return { title: () => t.title, view: () => page.view() };
}

class LocksPage {
  constructor() {
    /** @type {Loaded<Lock[]>} */
    this.list = new Loaded(() => all("locks", "locks"));
  }

  view() {
    return html`<p>${t.text}</p>${this.list.view((list) => this.listView(list))}`;
  }

  /** @param {Lock[]} list */
  listView(list) {
    const reload = html`<button type="button" @click=${() => this.list.reload()}>${strings.refresh}</button>`;
    if (list.length === 0) return html`<p class="empty">${t.empty}</p><p class="actions">${reload}</p>`;
    return html`
      <table class="cards">
        <thead><tr><th scope="col">${t.kind}</th><th scope="col">${t.account}</th><th scope="col">${t.address}</th><th scope="col">${t.failures}</th><th scope="col">${t.until}</th>
          <th scope="col"><span class="off-screen">${strings.actions}</span></th></tr></thead>
        <tbody>${list.map((lock) => this.row(lock))}</tbody>
      </table>
      <p class="actions">${reload}<button type="button" class="danger" @click=${() => this.confirmAll()}>${t.unlockAll}</button></p>
    `;
  }

  /** @param {Lock} lock */
  row(lock) {
    const { kind, username, address, failures, waits_until: until } = lock;
    const isNamed = username !== undefined || address !== undefined;
    return html`
      <tr>
        <th scope="row" data-label=${t.kind}>${t.kinds[kind]}</th>
        <td data-label=${t.account}>${username ? html`<a href=${href("users", { search: username })}>${shown(username)}</a>` : html`<span class="quiet">${t.unknownAccount}</span>`}</td>
        <td data-label=${t.address}>${address ?? html`<span class="quiet">–</span>`}</td>
        <td data-label=${t.failures}>${count(failures)}</td>
        <td data-label=${t.until}>${time(until)}</td>
        <td class="actions">${isNamed ? html`<button type="button" class="small" aria-label=${t.unlockLabel(username ?? "", address ?? "")} @click=${() => this.unlock(lock)}>${t.unlock}</button>` : nothing}</td>
      </tr>
    `;
  }

  /** @param {Lock} lock */
  async unlock({ username, address }) {
    await destroy("locks", { username, address: address?.split("/")[0] });
    announce(t.unlocked);
    this.list.reload();
  }

  confirmAll() {
    confirmAction({
      title: t.unlockAll,
      text: html`<p>${t.unlockAllText}</p>`,
      action: t.unlockAll,
      run: async () => {
        await destroy("locks");
        announce(t.unlocked);
        this.list.reload();
      },
    });
  }
}
