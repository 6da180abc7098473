"""The CDN before the packagers: none, any that pulls (by its URL), or CloudFront, made when an audience needs it and removed later."""
