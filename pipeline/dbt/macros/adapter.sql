{#- What dbt asks the adapter before each build, answered without asking the catalog where the answer is
    known. -#}

{% macro duckdb__list_schemas(database) -%}
    {{ return([]) }}
{%- endmacro %}


{% macro duckdb__create_schema(relation) -%}
    {#- Nothing to create: the lake's namespaces come with its bootstrap, and the in-memory database has its
        schema. -#}
{%- endmacro %}


{% macro duckdb__list_relations_without_caching(schema_relation) -%}
    {#- Of what is in memory nothing is kept from build to build: it is created or replaced. -#}
    {%- if schema_relation.database != var('lake') -%}
        {{ return([]) }}
    {%- endif -%}
    {{ return(dbt.duckdb__list_relations_without_caching(schema_relation)) }}
{%- endmacro %}
