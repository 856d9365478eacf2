// Real events as dots on the map. What flows comes at most ten times a second, as counts; a dot stands for the events of one kind that
// came in one of these moments, and there are never more than a few dozen at once: the figures say the rest.
import { hear } from '/static/live.js';

const most = 60;
const takes = 1100; // ms from the writer to the reader
const still = matchMedia('(prefers-reduced-motion: reduce)');
const routes = new Map(); // by event type
for (const path of document.querySelectorAll('path.route')) {
  const length = path.getTotalLength();
  const points = Array.from({ length: 65 }, (_, i) => path.getPointAtLength((length * i) / 64));
  const at = routes.get(path.dataset.type) ?? [];
  at.push({ points, source: path.dataset.source });
  routes.set(path.dataset.type, at);
}

const dots = new Set();
function send(route, count) {
  if (dots.size >= most) return;
  const circle = document.createElementNS('http://www.w3.org/2000/svg', 'circle');
  circle.setAttribute('r', 4 + Math.min(5, Math.log2(count)));
  circle.setAttribute('class', `dot ${route.source}`);
  dots.add({ circle, points: route.points, began: performance.now() });
  move({ circle, points: route.points }, 0);
  document.getElementById('dots').append(circle); // the map may be another than at first
  if (dots.size === 1) requestAnimationFrame(step);
}

function move(dot, share) {
  const { x, y } = dot.points[Math.min(64, Math.floor(share * 64))];
  dot.circle.setAttribute('cx', x);
  dot.circle.setAttribute('cy', y);
}

function step(now) {
  for (const dot of dots) {
    const share = (now - dot.began) / takes;
    if (share >= 1) {
      dot.circle.remove();
      dots.delete(dot);
    } else move(dot, Math.max(0, share));
  }
  if (dots.size > 0) requestAnimationFrame(step);
}

hear('flow', (counts) => {
  if (still.matches) return;
  for (const [type, count] of Object.entries(counts)) for (const route of routes.get(type) ?? []) send(route, count);
});
