// In place of xmlbuilder2, which vtk.js imports to read XML files and which has no build for browsers.
export const create = () => { throw new Error("no XML is read here"); };
