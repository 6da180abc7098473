/** Line icons of the bar, 24 x 24, drawn with the text colour. */

const icon = (paths: string): string => `<svg viewBox="0 0 24 24" aria-hidden="true">${paths}</svg>`;
const speaker = '<path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5Z"/>';

export const ICONS = {
  sound: icon(`${speaker}<path d="M15.5 9a4.2 4.2 0 0 1 0 6M18.3 6.2a8.2 8.2 0 0 1 0 11.6"/>`),
  muted: icon(`${speaker}<path d="m16 9.5 5 5m0-5-5 5"/>`),
  captions: icon('<rect x="3" y="5" width="18" height="14" rx="3"/><path d="M7 11h4m3 0h3M7 15h2m3 0h5"/>'),
  stats: icon('<path d="M4 20V10m5.3 10V4m5.4 16v-7m5.3 7V7"/>'),
  full: icon(
    '<path d="M4 9V5.5A1.5 1.5 0 0 1 5.5 4H9m6 0h3.5A1.5 1.5 0 0 1 20 5.5V9m0 6v3.5a1.5 1.5 0 0 1-1.5 1.5H15m-6 0H5.5A1.5 1.5 0 0 1 4 18.5V15"/>',
  ),
  window: icon(
    '<path d="M9 4v3.5A1.5 1.5 0 0 1 7.5 9H4m16 0h-3.5A1.5 1.5 0 0 1 15 7.5V4m0 16v-3.5a1.5 1.5 0 0 1 1.5-1.5H20M4 15h3.5A1.5 1.5 0 0 1 9 16.5V20"/>',
  ),
  play: icon('<path d="M8 5.5v13l10.5-6.5Z"/>'),
};
