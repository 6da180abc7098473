"""Neural faces: nets that draw a mouth into pictures of a person. One file a part of the way from sound to picture."""
