"""Report pages: one HTML file each that needs no network. Jinja2 templates, tables, and figures by matplotlib.

`pages.render_page` makes a page of a template of your own that extends `reporting/page.html`; `tables` and `figures`
make what `reporting/pieces.html` shows. docs/write-a-task.md has an example.
"""
