/**
 * Something that is loaded from the server, with honest states: loading, failed with a way on, and there.
 *
 * @module
 */

import { html } from "./lit-html.js";
import { failurePanel } from "./failure.js";
import { update } from "./render.js";
import { strings } from "./strings.js";

/** @template T */
export class Loaded {
  /** @param {() => Promise<T>} load */
  constructor(load) {
    this.load = load;
    /** @type {T | undefined} */
    this.value = undefined;
    /** @type {unknown} */
    this.failure = null;
    this.isLoading = false;
    this.round = 0;
    this.reload();
  }

  /** Loads it again; what was loaded before is shown meanwhile. */
  async reload() {
    const round = ++this.round;
    this.isLoading = true;
    update();
    try {
      const value = await this.load();
      if (round !== this.round) return;
      this.value = value;
      this.failure = null;
    } catch (failure) {
      if (round !== this.round) return;
      this.failure = failure;
    }
    this.isLoading = false;
    update();
  }

  /**
   * @param {(value: T) => unknown} view
   * @returns {unknown}
   */
  view(view) {
    if (this.failure) return failurePanel(this.failure, () => this.reload());
    if (this.value === undefined) return html`<p class="loading" role="status">${strings.loading}</p>`;
    return view(this.value);
  }
}
