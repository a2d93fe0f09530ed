/** The part of lit-html that the console uses. */
export type Content = unknown;
export function html(texts: TemplateStringsArray, ...values: unknown[]): Content;
export function svg(texts: TemplateStringsArray, ...values: unknown[]): Content;
export function render(content: Content, element: Element): unknown;
export const nothing: unique symbol;
