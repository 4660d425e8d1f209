"""The pages of the search for studies: similar images, and words of drafts and final reports."""
