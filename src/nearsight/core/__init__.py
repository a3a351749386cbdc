"""The ground floor: errors, shapes, items, the registry of components, artefacts, events. numpy and stdlib only."""
