"""Where files are kept that outlive processes: a folder, or a bucket of anything that speaks S3."""
