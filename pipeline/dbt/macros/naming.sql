{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- A mart's schema is a namespace of the catalog others know by name: no prefix of the target. -#}
    {{ return((custom_schema_name or target.schema) | trim) }}
{%- endmacro %}
