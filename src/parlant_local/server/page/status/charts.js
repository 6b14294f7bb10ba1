// Small charts of the last two minutes.

import { make } from "../core/dom.js";

const KEPT = 120;  // points
const SVG = "http://www.w3.org/2000/svg";

export class Charts {
  #points = new Map();

  /** `kinds`: [name, label, how a value is written, the least top of its scale]. */
  constructor(box, kinds) {
    this.kinds = kinds;
    box.replaceChildren(...kinds.map(([name, label]) => {
      const line = document.createElementNS(SVG, "polyline");
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("viewBox", `0 0 ${KEPT} 100`);
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("aria-hidden", "true");
      svg.append(line);
      this.#points.set(name, []);
      return make("figure", { "data-chart": name }, make("figcaption", {}, label, make("b", {}, "–")), svg);
    }));
    this.box = box;
  }

  note(values) {
    for (const [name, , shown, least] of this.kinds) {
      const points = this.#points.get(name);
      points.push(values[name]);
      if (points.length > KEPT) points.shift();
      const top = Math.max(...points, least) * 1.05;
      const left = KEPT - points.length;
      const figure = this.box.querySelector(`[data-chart="${name}"]`);
      figure.querySelector("polyline").setAttribute("points", points.map((value, at) => `${left + at},${(100 - (95 * value) / top).toFixed(2)}`).join(" "));
      figure.querySelector("b").textContent = shown(points.at(-1));
    }
  }
}
