{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- A mart's schema is a namespace of the catalog that others know by its name: no prefix from the target. -#}
    {{ return((custom_schema_name or target.schema) | trim) }}
{%- endmacro %}
