// OHIF 3.12: draw the regions of a structured report as soon as its series is opened.
//
// Append this to OHIF's app-config.js, after `window.config = {...};`.
//
// OHIF's SR viewport passes the report's tracking UIDs to DICOMSRDisplayTool in a React effect, which may
// run after the film was drawn, and asks for no drawing afterwards. This asks for the drawing of the
// annotations (not of the film) when a viewport has been still for each of these times.
(() => {
  const delays = [100, 500, 2000, 5000]; // milliseconds
  const pending = new Map(); // timers by viewport
  document.addEventListener(
    'CORNERSTONE_IMAGE_RENDERED',
    ({ detail: { viewportId } }) => {
      (pending.get(viewportId) || []).forEach(clearTimeout);
      const draw = () => {
        if (window.cornerstone.getEnabledElementByViewportId(viewportId)) {
          window.cornerstoneTools.utilities.triggerAnnotationRenderForViewportIds([viewportId]);
        }
      };
      pending.set(viewportId, delays.map(delay => setTimeout(draw, delay)));
    },
    true // the event does not bubble
  );
})();
